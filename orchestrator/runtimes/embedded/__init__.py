"""One process, all partitions: files, standard input, laptops, tests, simulation."""
