"""Flags of earlier toolkits that the trainer still accepts, and what to use instead.

They are accepted so that old scripts keep running; each prints its note once and has no effect.
"""

_RATE = "--learning_rate sets the rate of whichever architecture is trained."
_SYNTHETIC_MINORITY = "use --sampler balanced; images are never synthesised to balance grades."
_PREPROCESSING = "preprocessing is the disc crop and --enable_clahe."

LEGACY_FLAGS = {
    "--early_stopping_patience": "--patience alone ends a branch.",
    "--validation_frequency": "val is measured every epoch.",
    "--checkpoint_frequency": "the state is saved every epoch; --resume continues from it.",
    "--target_accuracy": "training ends by --patience or --epochs, never at a target score.",
    "--enable_medical_validation": "run medical_validation.py on the results folder.",
    "--medical_terms": "run medical_validation.py on the results folder.",
    "--no_wandb": "nothing is sent anywhere.",
    "--save_checkpoint_gcs": "nothing is sent anywhere; copy the results folder yourself.",
    "--resume_from_checkpoint": "use --resume with the same --output_dir.",
    "--test_single_pair": "use --ovo_mode independent --pairs 0-1 --dry_run.",
    "--debug_epochs": "use --epochs.",
    "--binary_epochs": "use --epochs.",
    "--efficientnet_lr": _RATE,
    "--resnet_lr": _RATE,
    "--densenet_lr": _RATE,
    **{
        f"--class_weight_{grade}": "use --class_weights, one number per class."
        for grade in range(5)
    },
    "--enable_smote": _SYNTHETIC_MINORITY,
    "--smote_k_neighbors": _SYNTHETIC_MINORITY,
    "--enable_flatten_sharpen": _PREPROCESSING,
    "--flatten_strength": _PREPROCESSING,
    "--sharpen_amount": _PREPROCESSING,
    "--contrast_factor": "use --contrast_range (augmentation).",
    "--brightness_adjust": "use --brightness_range (augmentation).",
}
