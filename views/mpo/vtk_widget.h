// SPDX-License-Identifier: GPL-3.0-or-later
// A VTK renderer in a Qt OpenGL widget.
#pragma once

#include <QOpenGLWidget>

#include <memory>

class vtkRenderer;

namespace rankscope::views
{

class VtkWidget : public QOpenGLWidget
{
    Q_OBJECT

public:
    explicit VtkWidget(QWidget* parent = nullptr);
    ~VtkWidget() override;

    /// Call before the application object is made: the surface format that VTK needs, contexts that outlive a
    /// change of window.
    static void setDefaultSurfaceFormat();

    [[nodiscard]] vtkRenderer* renderer() const;
    /// Draws again after the scene has changed.
    void renderLater() { update(); }
    [[nodiscard]] QSize minimumSizeHint() const override { return {200, 160}; }

Q_SIGNALS:
    void resetRequested();
    /// The cursor moves with no button pressed: the renderer's pixels from the lower left, and the screen's.
    void pointed(double x, double y, const QPoint& globalPlace);
    /// The cursor has left.
    void left();

protected:
    void initializeGL() override;
    void resizeGL(int width, int height) override;
    void paintGL() override;
    void mousePressEvent(QMouseEvent* event) override;
    void mouseReleaseEvent(QMouseEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void mouseDoubleClickEvent(QMouseEvent* event) override;
    void leaveEvent(QEvent* event) override;
    void wheelEvent(QWheelEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;

private:
    void place(QMouseEvent* event);

    struct Vtk; ///< keeps VTK's headers out of this one
    std::unique_ptr<Vtk> m_vtk;
};

} // namespace rankscope::views
