"""Reference agents, one a file: copy one and make it yours."""
