"""Resources that a cloud's provider lacks, made by this program itself: as few as can be, and small."""
