"""The frozen stem that is cut off a backbone, and layers that leave something out."""
