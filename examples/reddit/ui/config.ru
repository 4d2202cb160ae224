require_relative 'app'

run UI
