"""One run as a page, for a person who has never seen the system."""
