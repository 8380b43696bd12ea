"""Distortions of recordings: noise, speed, reverberation, the telephone's band, one file each."""
