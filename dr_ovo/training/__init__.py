"""`--mode train`: from settings to a results folder for each architecture."""
