"""The I/O side: tools, the chat activity, the manifest, and how their errors reach Temporal."""
