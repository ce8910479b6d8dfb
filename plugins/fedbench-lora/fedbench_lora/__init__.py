"""Ways to aggregate the LoRA adapters of federated clients."""
