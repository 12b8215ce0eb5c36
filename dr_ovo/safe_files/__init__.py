"""Files that others may have made: what they claim is checked before it is believed."""
