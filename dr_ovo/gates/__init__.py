"""Whether a picture should be graded at all: is it a fundus, and is it like those trained on?"""
