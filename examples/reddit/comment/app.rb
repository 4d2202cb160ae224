require 'json'
require 'mongo'
require 'sinatra/base'

Mongo::Logger.logger.level = Logger::WARN

# Comments on posts. A post is only an ID here; whether it exists is the post service's business.
class Comments < Sinatra::Base
  set :show_exceptions, false

  helpers do
    # One client per process: a forked puma worker must not share its parent's connections.
    def comments
      @@client ||= Mongo::Client.new(
        ["#{ENV.fetch('COMMENT_DATABASE_HOST')}:#{ENV.fetch('COMMENT_DATABASE_PORT')}"],
        database: 'comments', server_selection_timeout: 2
      )
      @@client[:comments]
    end

    def json(value)
      content_type :json
      JSON.generate(value)
    end
  end

  error Mongo::Error do
    status 503
    json(error: 'the database does not answer')
  end

  get '/posts/:id/comments' do |id|
    found = comments.find(post_id: id).sort(created_at: 1)
    json(found.map { |c| { name: c['name'], body: c['body'], created_at: c['created_at'] } })
  end

  post '/posts/:id/comments' do |id|
    given = JSON.parse(request.body.read)
    body = given['body'].to_s.strip
    halt 400, json(error: 'a comment needs a text') if body.empty?
    name = given['name'].to_s.strip
    comments.insert_one(post_id: id, name: name.empty? ? 'anonymous' : name, body: body, created_at: Time.now.to_i)
    status 201
    json(status: 'ok')
  rescue JSON::ParserError
    halt 400, json(error: 'not JSON')
  end

  get '/healthcheck' do
    comments.database.command(ping: 1)
    json(status: 'ok')
  end
end
