"""What a service says about itself."""
