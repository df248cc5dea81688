"""DeepSpeed engines and what surrounds a step: optimiser, average, checkpoint, guard, process group."""
