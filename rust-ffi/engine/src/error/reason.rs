//! What errors say in logs, which outlive records and go where those may not.

use fluvio_protocol::link::ErrorCode;

use super::Error;

impl Error {
    /// What went wrong, for logs: the message, unless it quotes somebody who may have put anything into it, such as what
    /// a record holds; then what kind of error it is.
    pub fn reason(&self) -> String {
        match (self.quotes, self.code) {
            (false, _) => self.clone().in_short().message,
            (true, Some(code)) => format!("{:?}: the server answered with error code {code}", self.kind),
            (true, None) => format!("{:?}", self.kind),
        }
    }
}

/// Whether the words of `code` are not the protocol's alone.
pub(super) fn quotes(code: &ErrorCode) -> bool {
    use ErrorCode as E;
    matches!(
        code,
        E::Other(_)
            | E::SmartModuleInvalid { .. }
            | E::SmartModuleInvalidExports { .. }
            | E::SmartModuleRuntimeError(_)
            | E::SmartModuleChainInitError(_)
            | E::SmartModuleInitError(_)
            | E::SmartModuleLookBackError(_)
            | E::OffsetFlushRequestError(_)
            | E::DerivedStreamInvalid(_)
            | E::DeduplicationSmartModuleNameInvalid(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_reason_quotes_neither_servers_nor_modules() {
        let hint = || "no number: s3cret".to_owned();
        let quoting = [
            Error::from_code(&ErrorCode::Other(hint()), None),
            Error::from_code(&ErrorCode::SmartModuleLookBackError(hint()), None),
            Error::from_code(&ErrorCode::TopicAlreadyExists, Some("s3cret")),
        ];
        for error in quoting {
            assert!(error.message.contains("s3cret"), "{error}");
            let late = Error::timeout(crate::error::Phase::Delivery, format!("nothing came within {} s", 3))
                .after(Some(error.clone()));
            for said in [error.reason(), late.reason()] {
                assert!(!said.contains("s3cret"), "{said}");
            }
        }
        let plain = Error::from_code(&ErrorCode::NotLeaderForPartition, None);
        assert_eq!((plain.kind, plain.reason()), (ErrorKind::NotLeader, plain.message.clone()));
    }
}
