"""What the mouth of somebody who speaks does, read from the sound: code, weights, and the recipe that made them."""
