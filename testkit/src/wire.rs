//! HTTP/1.1 byte by byte, for either end of a connection: what no client or server library would send.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::PATIENCE;
use crate::client::Answer;

/// One connection.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    read: BytesMut,
}

/// The first part of a message.
#[derive(Debug, Clone)]
pub struct Head {
    /// Its first line, as it came.
    pub start: String,
    /// Its headers.
    pub headers: HeaderMap,
}

impl Head {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.trim_end().split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        Self {
            start,
            headers: headers(lines),
        }
    }

    /// An answer's status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        let code = self.start.split(' ').nth(1).unwrap_or_default();
        code.parse()
            .unwrap_or_else(|_| panic!("no status in {:?}", self.start))
    }

    fn is_chunked(&self) -> bool {
        self.headers.contains_key("transfer-encoding")
    }

    fn content_length(&self) -> Option<usize> {
        let value = self.headers.get("content-length")?;
        Some(value.to_str().unwrap().parse().unwrap())
    }
}

fn headers<'a>(lines: impl Iterator<Item = &'a str>) -> HeaderMap {
    lines
        .map(|line| {
            let (name, value) = line
                .split_once(':')
                .unwrap_or_else(|| panic!("no header: {line:?}"));
            let value = HeaderValue::from_str(value.trim()).unwrap();
            (name.parse::<HeaderName>().unwrap(), value)
        })
        .collect()
}

impl Wire {
    /// Connects to an origin such as `http://127.0.0.1:80`.
    pub async fn connect(origin: &str) -> Self {
        let address = origin.trim_start_matches("http://");
        Self::over(TcpStream::connect(address).await.unwrap())
    }

    /// Speaks over a connection that there is.
    #[must_use]
    pub fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            read: BytesMut::new(),
        }
    }

    /// Sends bytes, all of them.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sending = self.stream.write_all(bytes.as_ref());
        tokio::time::timeout(PATIENCE, sending)
            .await
            .expect("the other side takes the bytes in time")
            .expect("the other side takes the bytes");
    }

    /// The next head.
    pub async fn head(&mut self) -> Head {
        Head::parse(&self.through(b"\r\n\r\n").await)
    }

    /// A request, read whole.
    pub async fn request(&mut self) -> (Head, Bytes) {
        let head = self.head().await;
        let (body, _trailers) = if head.is_chunked() {
            self.chunks().await
        } else {
            (self.exactly(head.content_length().unwrap_or(0)).await, None)
        };
        (head, body)
    }

    /// An answer, read whole; one to HEAD has no body and is only a [`head`](Self::head).
    pub async fn answer(&mut self) -> Answer {
        let head = self.head().await;
        self.answer_behind(head).await
    }

    /// The rest of an answer whose head has been read.
    pub async fn answer_behind(&mut self, head: Head) -> Answer {
        let status = head.status();
        let bodiless = status.is_informational() || status == StatusCode::NO_CONTENT;
        let (body, trailers) = match head.content_length() {
            _ if bodiless => (Bytes::new(), None),
            _ if head.is_chunked() => self.chunks().await,
            Some(length) => (self.exactly(length).await, None),
            None => (self.rest().await, None),
        };
        Answer {
            status,
            headers: head.headers,
            body,
            trailers,
        }
    }

    async fn chunks(&mut self) -> (Bytes, Option<HeaderMap>) {
        let mut body = BytesMut::new();
        loop {
            let line = self.through(b"\r\n").await;
            let length = String::from_utf8_lossy(&line);
            let length = usize::from_str_radix(length.trim(), 16).expect("a chunk's length");
            if length == 0 {
                break;
            }
            body.extend_from_slice(&self.exactly(length).await);
            self.exactly(2).await;
        }
        let mut trailers = HeaderMap::new();
        loop {
            let line = self.through(b"\r\n").await;
            let line = String::from_utf8_lossy(&line);
            if line.trim().is_empty() {
                break;
            }
            trailers.extend(headers([line.trim()].into_iter()));
        }
        let trailers = Some(trailers).filter(|trailers| !trailers.is_empty());
        (body.freeze(), trailers)
    }

    /// Everything up to and with the first `mark`.
    pub async fn through(&mut self, mark: &[u8]) -> Bytes {
        loop {
            let found = self.read.windows(mark.len()).position(|part| part == mark);
            if let Some(at) = found {
                return self.read.split_to(at + mark.len()).freeze();
            }
            let more = self.more().await;
            assert!(more, "the connection ended after {:?}", self.read);
        }
    }

    /// So many bytes.
    pub async fn exactly(&mut self, length: usize) -> Bytes {
        while self.read.len() < length {
            let more = self.more().await;
            assert!(
                more,
                "the connection ended after {} of {length} bytes",
                self.read.len()
            );
        }
        self.read.split_to(length).freeze()
    }

    /// Everything up to the end of the connection, clean or not.
    pub async fn rest(&mut self) -> Bytes {
        while self.more().await {}
        self.read.split().freeze()
    }

    /// Whether anything has come that was not asked for yet.
    #[must_use]
    pub fn has_unread(&mut self) -> bool {
        let mut byte = [0];
        let waiting = self.stream.try_read(&mut byte);
        if let Ok(length) = waiting {
            self.read.extend_from_slice(&byte[..length]);
        }
        !self.read.is_empty()
    }

    async fn more(&mut self) -> bool {
        let reading = self.stream.read_buf(&mut self.read);
        let read = tokio::time::timeout(PATIENCE, reading).await;
        // A reset is an end like any other: what was read until then is what counts.
        read.expect("the other side says something in time")
            .is_ok_and(|length| length > 0)
    }
}
