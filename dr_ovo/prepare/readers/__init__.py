"""What a dataset is made from: a CSV of grades, a MedMNIST file, a folder of grades."""
