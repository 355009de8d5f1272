"""APIs of clouds that programs call themselves, beside what providers do for them: served on this machine."""
