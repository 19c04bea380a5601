"""What diffusion models share: noise schedules, denoisers, guidance and samplers."""
