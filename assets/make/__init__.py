"""Make assets: the list of steps, dvc.yaml, execution."""
