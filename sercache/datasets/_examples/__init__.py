"""Small trees in the real layout of each corpus: real file names and label text, generated audio.

Each reader brings one of these as its ``example(root)``, which builds it below ``root`` and gives the folder to read.
Traps that real copies hold (hidden files, nested copies, odd encodings) are part of the trees.
"""
