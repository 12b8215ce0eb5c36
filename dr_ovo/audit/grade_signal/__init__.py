"""Whether image statistics reveal a grade: filtered apart, or told by the camera."""
