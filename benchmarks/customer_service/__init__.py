"""tau-bench's customer-service tasks: how many of those that write ask a person, and what passes unasked."""
