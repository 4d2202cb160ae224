require 'json'
require 'net/http'

# A service that speaks JSON over HTTP, found through <NAME>_SERVICE_HOST and <NAME>_SERVICE_PORT.
class Service
  class Unavailable < StandardError; end

  attr_reader :name

  def initialize(name)
    @name = name
    @host = ENV.fetch("#{name.upcase}_SERVICE_HOST")
    @port = ENV.fetch("#{name.upcase}_SERVICE_PORT").to_i
  end

  # Returns the decoded answer, or nil when there is no such thing.
  def get(path)
    request(Net::HTTP::Get.new(path))
  end

  def post(path, body)
    request(Net::HTTP::Post.new(path, 'Content-Type' => 'application/json').tap { |r| r.body = JSON.generate(body) })
  end

  private

  def request(req)
    res = Net::HTTP.start(@host, @port, open_timeout: 3, read_timeout: 5) { |http| http.request(req) }
    return nil if res.is_a?(Net::HTTPNotFound)
    raise Unavailable, "#{@name} answered #{res.code}" unless res.is_a?(Net::HTTPSuccess)

    JSON.parse(res.body)
  rescue SystemCallError, SocketError, Timeout::Error, EOFError => e
    raise Unavailable, "#{@name} does not answer: #{e.message}"
  end
end
