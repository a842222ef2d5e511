"""A podcast sponsorship platform that writes ad-reads with language models, built on Seawall."""
