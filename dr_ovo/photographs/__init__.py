"""A photograph file to pixels: decoding, the fundus disc, preprocessing, quality."""
