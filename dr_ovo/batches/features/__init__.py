"""Features of a frozen backbone, computed once for each view of a photograph and kept."""
