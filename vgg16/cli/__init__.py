"""The command line `vgg16`: one file for each group of commands, and what a person reads of their answers."""
