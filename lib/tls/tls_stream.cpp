#include "tls/tls_stream.h"

#include <optional>
#include <utility>

#include "net/preparing.h"

namespace twinspool::tls {
namespace {

class TlsStream final : public net::Stream, private net::Stream::Observer {
 public:
  TlsStream(net::EventLoop& loop, std::unique_ptr<net::Stream> transport, Engine engine)
      : engine_(std::move(engine)), deferred_(loop, [this] { tell(); }), transport_(std::move(transport)) {}

  // A client's handshake, before there is an observer. `done` runs once, when it succeeded or failed, in a callback of
  // the transport: it may not end this stream.
  void prepare(std::function<void()> done) {
    on_handshaken_ = std::move(done);
    begin();
    note(engine_.start());
    flush();
  }
  const std::optional<Error>& failure() const { return failure_; }

  void start(net::Stream::Observer& observer) override {
    ENSURE(observer_ == nullptr);
    observer_ = &observer;
    begin();
    if (!paused_) transport_->resume_reading();
    deferred_.post();
  }

  void write(std::string bytes) override {
    ENSURE(!finished_);
    if (failure_) return;
    note(engine_.send(bytes));
    flush();
    if (unwritten() > 0) owes_drained_ = true;
    if (failure_) deferred_.post();
  }

  std::size_t unwritten() const override { return engine_.kept() + transport_->unwritten(); }

  void pause_reading() override {
    paused_ = true;
    transport_->pause_reading();
  }

  void resume_reading() override {
    paused_ = false;
    if (failure_) return;
    if (begun_) transport_->resume_reading();
    deferred_.post();
  }

  void finish_writing() override {
    if (finished_ || failure_) return;
    finished_ = true;
    engine_.close();
    flush();
  }

 private:
  void on_bytes(std::string_view bytes) override {
    if (failure_) return;
    note(engine_.receive(bytes, received_));
    flush();
    tell();
  }

  void on_end() override {
    if (!engine_.peer_closed()) {
      note(fail(Errc::closed, engine_.handshake_done() ? "the connection was cut without a TLS close_notify"
                                                       : "the connection was closed during the TLS handshake"));
    }
    tell();
  }

  void on_drained() override { tell(); }

  void on_failed(const Error& error) override {
    note(tl::unexpected(error));
    tell();
  }

  void begin() {
    if (begun_) return;
    begun_ = true;
    transport_->start(*this);
    if (paused_) transport_->pause_reading();
  }

  void note(Result<void> result) {
    if (!result && !failure_) failure_ = std::move(result.error());
  }

  // Also after a failure: the alert tells the peer why.
  void flush() {
    std::string ciphertext = engine_.take_ciphertext();
    if (!ciphertext.empty() && !transport_finished_) transport_->write(std::move(ciphertext));
    if (finished_ && !transport_finished_ && engine_.handshake_done() && engine_.kept() == 0) {
      transport_finished_ = true;
      transport_->finish_writing();
    }
  }

  // Only from the transport's callbacks and from posted work, never inside a call of the observer's.
  void tell() {
    if (observer_ == nullptr) return tell_handshake();
    if (failure_told_) return;
    if (!received_.empty() && !paused_) observer_->on_bytes(std::exchange(received_, {}));
    if (engine_.peer_closed() && received_.empty() && !paused_ && !end_told_) {
      end_told_ = true;
      observer_->on_end();
    }
    if (owes_drained_ && unwritten() == 0) {
      owes_drained_ = false;
      if (!failure_) observer_->on_drained();
    }
    if (failure_) {
      failure_told_ = true;
      transport_->pause_reading();
      observer_->on_failed(*failure_);
    }
  }

  void tell_handshake() {
    if (!engine_.handshake_done() && !failure_) return;
    transport_->pause_reading();  // until somebody listens
    if (on_handshaken_) std::exchange(on_handshaken_, nullptr)();
  }

  Engine engine_;
  net::Stream::Observer* observer_ = nullptr;
  std::function<void()> on_handshaken_;
  std::string received_;  // decrypted, not yet delivered: at most what one read of the transport held
  std::optional<Error> failure_;
  bool begun_ = false;
  bool paused_ = false;
  bool finished_ = false;
  bool transport_finished_ = false;
  bool owes_drained_ = false;
  bool end_told_ = false;
  bool failure_told_ = false;
  net::Deferred deferred_;
  std::unique_ptr<net::Stream> transport_;  // last: it calls this object
};

}  // namespace

std::unique_ptr<net::Pending> connect_tls(net::EventLoop& loop, std::unique_ptr<net::Stream> transport,
                                          Context& context, const std::string& server_name,
                                          std::function<void(Result<std::unique_ptr<net::Stream>>)> done) {
  auto stream = std::make_unique<TlsStream>(loop, std::move(transport), Engine::client(context, server_name));
  return std::make_unique<net::Preparing<TlsStream>>(loop, std::move(stream), std::move(done));
}

std::unique_ptr<net::Stream> accept_tls(net::EventLoop& loop, std::unique_ptr<net::Stream> transport,
                                        Context& context) {
  return std::make_unique<TlsStream>(loop, std::move(transport), Engine::server(context));
}

}  // namespace twinspool::tls
