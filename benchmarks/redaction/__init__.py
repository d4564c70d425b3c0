"""Whether anything personal or secret leaves, looked for in all that leaves of real runs."""
