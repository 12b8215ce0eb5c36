"""From photograph file to pixels: decoding, the fundus disc, preprocessing, image quality."""
