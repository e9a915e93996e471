// SPDX-License-Identifier: GPL-3.0-or-later
// A list of data files: add, drop, remove.
#pragma once

#include <QStringList>
#include <QWidget>

class QLabel;
class QListWidget;
class QToolButton;

namespace rankscope::workbench
{

class FileListField : public QWidget
{
    Q_OBJECT

public:
    FileListField(const QString& name, const QString& toolTip, QWidget* parent = nullptr);

    [[nodiscard]] QStringList files() const;
    void setFiles(const QStringList& files);
    void addFiles(const QStringList& files);
    void showError(const QString& message);

Q_SIGNALS:
    void edited();

protected:
    void dragEnterEvent(QDragEnterEvent* event) override;
    void dropEvent(QDropEvent* event) override;
    bool eventFilter(QObject* watched, QEvent* event) override;

private:
    void browse();
    void removeChosen();
    void fit();

    QString m_name;
    QListWidget* m_list;
    QToolButton* m_remove;
    QLabel* m_error;
    QLabel* m_hint;
};

} // namespace rankscope::workbench
