"""What a model card is made of: sections, and the questions that only a person can answer."""
