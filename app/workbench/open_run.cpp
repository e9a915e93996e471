// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/workbench/open_run.h"

#include "app/workbench/unsealed_snapshot.h"
#include "core/record/run_directory.h"
#include "core/record/snapshot.h"

#include <QCoreApplication>
#include <QFileInfo>
#include <QJsonDocument>
#include <QJsonObject>
#include <QPointer>
#include <QThreadPool>

#include <algorithm>

namespace rankscope::workbench
{

namespace
{
constexpr int runningInterval = 200; ///< ms between looks at the journal of a run that goes on
constexpr int restingInterval = 2000;
constexpr std::size_t pieceBytes = std::size_t{4} << 20;
} // namespace

struct OpenRun::Loaded {
    std::unique_ptr<record::RunRecord> record = std::make_unique<record::RunRecord>();
    std::unique_ptr<record::JournalFollower> follower;
    record::JournalReader reader;
    bool snapshot = false;
    QString error;
};

namespace
{

struct CaughtUp {
    record::JournalNews news;
    QString error;
};

/// Reads events until nothing new is there.
CaughtUp catchUp(record::RunRecord& run, record::JournalFollower& follower, record::JournalReader& reader)
{
    CaughtUp result;
    for (;;) {
        const auto piece = record::readOn(run, follower, reader, pieceBytes);
        if (!piece)
            result.error = QString::fromStdString(piece.error().message);
        if (!piece || !piece->any)
            return result;
        result.news.any = true;
        result.news.rewound = result.news.rewound || piece->rewound;
    }
}

} // namespace

QString OpenRun::canonicalPath(const QString& path)
{
    QFileInfo info(path);
    // A file inside a run directory means the run, so that the two are not opened twice.
    if (info.isFile() &&
        (info.fileName() == QLatin1String("journal.rec") || info.fileName() == QLatin1String("job.json")))
        info = QFileInfo(info.absolutePath());
    const QString canonical = info.canonicalFilePath();
    return canonical.isEmpty() ? info.absoluteFilePath() : canonical;
}

OpenRun::OpenRun(const QString& path, const QString& engineProgram, QObject* parent)
    : QObject(parent),
      m_path(canonicalPath(path)),
      m_record(std::make_unique<record::RunRecord>())
{
    m_title = QFileInfo(m_path).completeBaseName();
    connect(&m_timer, &QTimer::timeout, this, &OpenRun::poll);
    QThreadPool::globalInstance()->start([self = QPointer<OpenRun>(this), place = m_path, engineProgram] {
        auto result = std::make_shared<Loaded>();
        const std::filesystem::path folder = place.toStdString();
        bool changed = false;
        if (record::RunDirectory::isRunDirectory(folder)) {
            result->follower =
                std::make_unique<record::JournalFollower>(record::RunDirectory(folder).journal());
            const CaughtUp read = catchUp(*result->record, *result->follower, result->reader);
            result->error = read.error;
            changed = read.news.any;
        }
        if (!changed && (result->follower == nullptr || !result->error.isEmpty())) {
            auto run = record::openRun(folder, [&engineProgram](const std::filesystem::path& file) {
                return readUnsealedSnapshot(file, engineProgram);
            });
            if (run) {
                *result->record = std::move(*run);
                result->snapshot = true;
                result->follower.reset();
                result->error.clear();
            } else {
                result->error = QString::fromStdString(run.error().message);
            }
        }
        QMetaObject::invokeMethod(
            qApp,
            [self, result] {
                if (self != nullptr)
                    self->take(result);
            },
            Qt::QueuedConnection);
    });
}

OpenRun::~OpenRun() = default;

void OpenRun::take(const std::shared_ptr<Loaded>& result)
{
    if (!result->error.isEmpty() && result->record->measures().empty()) {
        stop(result->error);
        return;
    }
    m_record = std::move(result->record);
    m_follower = std::move(result->follower);
    m_reader = std::move(result->reader);
    m_snapshot = result->snapshot;
    m_error = result->error;
    m_loaded = true;
    readDescription();
    if (m_follower != nullptr && m_error.isEmpty())
        m_timer.start(runningInterval);
    Q_EMIT loaded();
    if (!m_error.isEmpty())
        Q_EMIT failed(m_error);
}

void OpenRun::readDescription()
{
    const QJsonObject job =
        QJsonDocument::fromJson(QByteArray::fromStdString(m_record->description.jobJson)).object();
    m_family = job.value(QLatin1String("adapter")).toObject().value(QLatin1String("family")).toString();
    const QString name = job.value(QLatin1String("name")).toString();
    if (!name.isEmpty())
        m_title = name;
}

QString OpenRun::title() const
{
    return m_title;
}

void OpenRun::poll()
{
    if (!QFileInfo::exists(m_path)) {
        m_gone = true;
        stop(tr("the run directory is not there any more; what was read of it stays open, and File > Save "
                "snapshot keeps it"));
        return;
    }
    const CaughtUp read = catchUp(*m_record, *m_follower, m_reader);
    if (read.news.any) {
        readDescription();
        Q_EMIT grew(read.news.rewound);
    }
    if (!read.error.isEmpty()) {
        stop(read.error);
        return;
    }
    const std::string state = m_record->state();
    const bool resting = state == "done" || state == "failed" || state == "stopped";
    const int interval = resting ? restingInterval : runningInterval;
    if (m_timer.interval() != interval)
        m_timer.start(interval);
}

void OpenRun::stop(const QString& message)
{
    m_timer.stop();
    m_error = message.contains(m_path) ? message : m_path + QStringLiteral(": ") + message;
    Q_EMIT failed(m_error);
}

} // namespace rankscope::workbench
