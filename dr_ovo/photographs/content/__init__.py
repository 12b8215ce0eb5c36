"""What a file contains: its header, its segments, whether it decodes without a complaint."""
