//! Just enough `multipart/form-data` to find the uploaded file.

use bytes::Bytes;
use memchr::memmem;

use crate::api_error::ApiError;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Upload {
    pub(super) filename: String,
    pub(super) mime_type: String,
    pub(super) content: Bytes,
}

/// The first part that has a file name; the whole body if it isn't multipart.
pub(super) fn file(content_type: &str, body: &Bytes) -> Result<Upload, ApiError> {
    let Some(boundary) = boundary(content_type) else {
        return Ok(Upload {
            filename: "upload".to_owned(),
            mime_type: or_octets(content_type),
            content: body.clone(),
        });
    };
    parts(body, &format!("--{boundary}"))
        .find_map(|part| upload(body, part))
        .ok_or_else(|| ApiError::invalid("file: Field required"))
}

fn boundary(content_type: &str) -> Option<&str> {
    let parameters = content_type.strip_prefix("multipart/form-data")?;
    parameter(parameters, "boundary")
}

/// A parameter such as `name=value` or `name="value"`.
fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    parameters.split(';').find_map(|parameter| {
        let (found, value) = parameter.trim().split_once('=')?;
        found
            .eq_ignore_ascii_case(name)
            .then(|| value.trim_matches('"'))
    })
}

/// What stands between two delimiters: a line end, headers, an empty line, content, a line end.
fn parts<'a>(body: &'a [u8], delimiter: &str) -> impl Iterator<Item = &'a [u8]> {
    let length = delimiter.len();
    let starts: Vec<_> = memmem::find_iter(body, delimiter).collect();
    starts
        .windows(2)
        .filter_map(|pair| match pair {
            [start, end] => body.get(start.checked_add(length)?..*end),
            _ => None,
        })
        .collect::<Vec<_>>()
        .into_iter()
}

fn upload(body: &Bytes, part: &[u8]) -> Option<Upload> {
    let blank = memmem::find(part, b"\r\n\r\n")?;
    let headers = str::from_utf8(part.get(..blank)?).ok()?;
    let content = part.get(blank.checked_add(4)?..)?;
    let content = content.strip_suffix(b"\r\n").unwrap_or(content);
    let header = |name: &str| {
        headers.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found
                .trim()
                .eq_ignore_ascii_case(name)
                .then(|| value.trim())
        })
    };
    let filename = parameter(header("content-disposition")?, "filename")?;
    Some(Upload {
        filename: filename.to_owned(),
        mime_type: or_octets(header("content-type").unwrap_or_default()),
        content: body.slice_ref(content),
    })
}

fn or_octets(mime_type: &str) -> String {
    let mime_type = if mime_type.is_empty() {
        "application/octet-stream"
    } else {
        mime_type
    };
    mime_type.to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Bytes, file};

    fn check(content_type: &str, body: &str, expected: Option<(&str, &str, &str)>) {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let upload = file(content_type, &body).ok();
        let found = upload.as_ref().map(|upload| {
            let content = str::from_utf8(&upload.content).unwrap();
            (upload.filename.as_str(), upload.mime_type.as_str(), content)
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn the_file_is_found_among_the_parts() {
        check(
            "multipart/form-data; boundary=\"xyz\"",
            "--xyz\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nnone\r\n\
             --xyz\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\
             Content-Type: text/plain\r\n\r\nhello\r\nworld\r\n--xyz--\r\n",
            Some(("a.txt", "text/plain", "hello\r\nworld")),
        );
        check("text/csv", "1,2", Some(("upload", "text/csv", "1,2")));
        check("", "", Some(("upload", "application/octet-stream", "")));
    }

    #[test]
    fn broken_uploads_are_refused() {
        check("multipart/form-data; boundary=xyz", "nothing", None);
        check(
            "multipart/form-data; boundary=xyz",
            "--xyz\r\n--xyz--",
            None,
        );
        check(
            "multipart/form-data; boundary=xyz",
            "--xyz\r\na: b\r\n\r\nc\r\n--xyz--",
            None,
        );
    }
}
