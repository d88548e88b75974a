"""Daily retraining: `mail train --continue`."""
