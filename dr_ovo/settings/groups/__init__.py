"""The trainer's options, in groups by what they belong to; each names its defaults and limits."""
