"""Wan2.1-1.3B's shape on one card: what a training step, an adversarial update and a generation take, in one short run."""
