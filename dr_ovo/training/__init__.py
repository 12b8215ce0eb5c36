"""`--mode train`: from settings to one results folder per architecture."""
