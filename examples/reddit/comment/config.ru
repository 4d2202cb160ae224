require_relative 'app'

run Comments
