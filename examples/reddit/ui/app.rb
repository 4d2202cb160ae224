require 'json'
require 'sinatra/base'
require_relative 'services'

# The pages of the site. It keeps nothing itself: posts and comments are other services' business.
class UI < Sinatra::Base
  set :root, __dir__
  set :posts, Service.new('post')
  set :comments, Service.new('comment')
  set :show_exceptions, false

  helpers do
    def h(text)
      Rack::Utils.escape_html(text.to_s)
    end

    def ago(seconds)
      s = Time.now.to_i - seconds.to_i
      return 'just now' if s < 60
      return "#{s / 60} min ago" if s < 3600
      return "#{s / 3600} h ago" if s < 86_400

      "#{s / 86_400} days ago"
    end

    def host_of(link)
      URI(link).host
    rescue URI::Error
      nil
    end
  end

  error Service::Unavailable do
    status 503
    @problem = env['sinatra.error'].message
    erb :unavailable
  end

  not_found { erb :not_found }

  get '/' do
    @posts = settings.posts.get('/posts')
    erb :index
  end

  get '/new' do
    erb :new
  end

  post '/new' do
    @title = params['title'].to_s.strip
    @link = params['link'].to_s.strip
    unless !@title.empty? && @link.match?(%r{\Ahttps?://\S+\z})
      status 400
      @problem = 'A post needs a title and a link that begins with http:// or https://.'
      halt erb(:new)
    end
    made = settings.posts.post('/posts', title: @title, link: @link)
    redirect to("/post/#{made['id']}"), 303
  end

  get '/post/:id' do |id|
    @post = settings.posts.get("/posts/#{Rack::Utils.escape_path(id)}") or halt 404
    @comments = settings.comments.get("/posts/#{Rack::Utils.escape_path(id)}/comments")
    erb :post
  end

  post '/post/:id/vote/:way' do |id, way|
    halt 400 unless %w[up down].include?(way)
    settings.posts.post("/posts/#{Rack::Utils.escape_path(id)}/vote", by: way == 'up' ? 1 : -1) or halt 404
    redirect back, 303
  end

  post '/post/:id/comment' do |id|
    body = params['body'].to_s.strip
    halt 400, 'A comment needs a text.' if body.empty?
    settings.posts.get("/posts/#{Rack::Utils.escape_path(id)}") or halt 404
    settings.comments.post("/posts/#{Rack::Utils.escape_path(id)}/comments", name: params['name'].to_s.strip, body: body)
    redirect to("/post/#{id}"), 303
  end

  # Whether this process answers, whatever the services behind it do.
  get '/ping' do
    'ok'
  end

  # The state of the services behind: 200 when all are well, 503 otherwise.
  get '/healthcheck' do
    content_type :json
    states = [settings.posts, settings.comments].to_h do |service|
      [service.name, service.get('/healthcheck')['status']]
    rescue Service::Unavailable => e
      [service.name, e.message]
    end
    healthy = states.values.all?('ok')
    status(healthy ? 200 : 503)
    JSON.generate(status: healthy ? 'ok' : 'failing', services: states)
  end
end
