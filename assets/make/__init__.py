"""Make assets: run a step, hold up what follows a failed check, take what DVC brought for made."""
