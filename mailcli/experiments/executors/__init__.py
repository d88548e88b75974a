"""Where runs are trained: in processes of this machine, on its GPUs, or on several machines."""
