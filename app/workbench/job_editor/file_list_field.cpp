// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/workbench/job_editor/file_list_field.h"

#include <QDir>
#include <QDragEnterEvent>
#include <QFileDialog>
#include <QFileInfo>
#include <QHBoxLayout>
#include <QKeyEvent>
#include <QLabel>
#include <QListWidget>
#include <QMimeData>
#include <QToolButton>
#include <QVBoxLayout>

#include <algorithm>

namespace rankscope::workbench
{

namespace
{
constexpr int mostRows = 8; ///< shown at once, as many as the sample has tasks; the others are scrolled to
}

FileListField::FileListField(const QString& name, const QString& toolTip, QWidget* parent)
    : QWidget(parent),
      m_name(name),
      m_list(new QListWidget(this)),
      m_remove(new QToolButton(this)),
      m_error(new QLabel(this)),
      m_hint(new QLabel(tr("Drop .json or .jsonl files here; each file is a task"), this))
{
    setAcceptDrops(true);
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(4);
    auto* row = new QHBoxLayout;
    row->setSpacing(8);
    auto* add = new QToolButton(this);
    add->setText(tr("Add files…"));
    add->setToolTip(toolTip);
    m_remove->setText(tr("Remove"));
    m_remove->setToolTip(tr("Take the chosen files out of the list (Delete)"));
    m_hint->setProperty("role", "muted");
    m_hint->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Preferred);
    QSizePolicy kept = m_hint->sizePolicy(); // hidden, it still keeps the buttons at the left
    kept.setRetainSizeWhenHidden(true);
    m_hint->setSizePolicy(kept);
    row->addWidget(add);
    row->addWidget(m_remove);
    row->addWidget(m_hint, 1);
    m_list->setAccessibleName(name);
    m_list->setToolTip(toolTip);
    m_list->setSelectionMode(QAbstractItemView::ExtendedSelection);
    m_list->setTextElideMode(Qt::ElideLeft);
    m_list->installEventFilter(this);
    setFocusProxy(add);
    m_error->setProperty("role", "error");
    m_error->setWordWrap(true);
    m_error->hide();
    column->addWidget(m_list);
    column->addLayout(row);
    column->addWidget(m_error);
    connect(add, &QToolButton::clicked, this, &FileListField::browse);
    connect(m_remove, &QToolButton::clicked, this, &FileListField::removeChosen);
    connect(m_list, &QListWidget::itemSelectionChanged, this,
            [this] { m_remove->setEnabled(!m_list->selectedItems().isEmpty()); });
    fit();
}

QStringList FileListField::files() const
{
    QStringList files;
    for (int i = 0; i < m_list->count(); ++i)
        files << m_list->item(i)->data(Qt::UserRole).toString();
    return files;
}

void FileListField::setFiles(const QStringList& files)
{
    m_list->clear();
    addFiles(files);
}

void FileListField::addFiles(const QStringList& files)
{
    QStringList present = this->files();
    for (const QString& file : files) {
        if (file.isEmpty() || present.contains(file))
            continue;
        present << file;
        const QFileInfo info(file);
        auto* item =
            new QListWidgetItem(QDir(info.path()).dirName() + QLatin1Char('/') + info.fileName(), m_list);
        item->setData(Qt::UserRole, file);
        item->setToolTip(file);
    }
    fit();
    Q_EMIT edited();
}

void FileListField::showError(const QString& message)
{
    m_error->setText(message);
    m_error->setVisible(!message.isEmpty());
}

void FileListField::browse()
{
    addFiles(QFileDialog::getOpenFileNames(this, m_name, {}, tr("Data (*.json *.jsonl)")));
}

void FileListField::removeChosen()
{
    qDeleteAll(m_list->selectedItems());
    fit();
    Q_EMIT edited();
}

void FileListField::fit()
{
    m_list->setVisible(m_list->count() > 0);
    m_list->setFixedHeight(std::clamp(m_list->count(), 1, mostRows) * m_list->sizeHintForRow(0) +
                           2 * m_list->frameWidth());
    m_hint->setVisible(m_list->count() == 0);
    m_remove->setVisible(m_list->count() > 0);
    m_remove->setEnabled(!m_list->selectedItems().isEmpty());
}

void FileListField::dragEnterEvent(QDragEnterEvent* event)
{
    if (event->mimeData()->hasUrls())
        event->acceptProposedAction();
}

void FileListField::dropEvent(QDropEvent* event)
{
    QStringList files;
    for (const QUrl& url : event->mimeData()->urls())
        if (url.isLocalFile())
            files << url.toLocalFile();
    addFiles(files);
    event->acceptProposedAction();
}

bool FileListField::eventFilter(QObject* watched, QEvent* event)
{
    if (watched == m_list && event->type() == QEvent::KeyPress) {
        const auto* key = static_cast<QKeyEvent*>(event);
        if (key->key() == Qt::Key_Delete || key->key() == Qt::Key_Backspace) {
            removeChosen();
            return true;
        }
    }
    return QWidget::eventFilter(watched, event);
}

} // namespace rankscope::workbench
