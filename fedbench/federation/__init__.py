"""The one round loop and what it is made of: sampling, local training, executors, checkpoints."""
