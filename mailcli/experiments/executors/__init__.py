"""Where runs are trained: several processes of this machine, or several machines."""
