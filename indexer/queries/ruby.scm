; definitions and references of ruby
