//! A port of this computer, with a server of a test's own behind it.

use std::net::TcpListener;

use axum::Router;
use tokio::runtime::Runtime;

/// A port that is taken, and where it is, before what is served there is known.
pub struct Place {
    pub origin: String,
    listener: TcpListener,
}

impl Place {
    pub fn take() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("nonblocking");
        let origin = format!("http://{}", listener.local_addr().expect("bound"));
        Self { origin, listener }
    }

    /// Serves until the runtime is dropped.
    pub fn serve(self, router: Router) -> Runtime {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(self.listener).expect("a listener");
            let _ = axum::serve(listener, router).await;
        });
        runtime
    }
}
