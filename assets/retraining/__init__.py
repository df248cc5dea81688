"""Train anew or not, from where, and whether the data has drifted."""
