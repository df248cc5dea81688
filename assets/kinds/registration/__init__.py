"""From scores to a registered model and a champion: evidence, gate, card and the pair of aliases."""
